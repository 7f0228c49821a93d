// Allocates through Rust's standard library alone.
fn main() {
    let numbers: Vec<u64> = (0..1000).collect();
    let thread = std::thread::spawn(|| vec![1u8; 5000].len());
    assert_eq!(numbers.iter().sum::<u64>() + thread.join().unwrap() as u64, 504500);
    println!("ran");
}
