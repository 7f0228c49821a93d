# perl.pl KEYS: builds, sorts, searches and drops large hashes, in this process and in forked ones.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Storable qw(freeze thaw);

my $keys = shift;
$| = 1;

# Park and Miller's generator: the same numbers everywhere.
sub generator {
    my $x = shift;
    return sub { $x = $x * 48271 % 2147483647; return $x % $_[0] };
}

sub build {
    my ($random, $count) = @_;
    my %table;
    for my $i (1 .. $count) {
        my $key = sprintf "%s-%x", join('', map { chr(97 + $random->(26)) } 1 .. 1 + $random->(12)), $random->(1 << 30);
        $table{$key} = { number => $i, list => [map { $random->(1000) } 1 .. $random->(6)], text => $key x $random->(9) };
    }
    return \%table;
}

sub summary {
    my $table = shift;
    my $digest = '';
    my @order = sort { $table->{$a}{text} cmp $table->{$b}{text} || $a cmp $b } keys %$table;
    for my $key (@order) {
        my $entry = $table->{$key};
        $digest = md5_hex($digest, $key, $entry->{number}, "@{$entry->{list}}", $entry->{text});
    }
    return scalar(@order) . " $digest";
}

my $random = generator(1);
my $table = build($random, $keys);
print "built ", summary($table), "\n";

# Deletes and rewrites half of it, in the order of the hash itself.
for my $key (keys %$table) {
    if ($key =~ /^([aeiou])(.*)$/) { $table->{"$2$1"} = delete $table->{$key} }
    elsif ($key =~ /[xyz].*-.*[05a]$/) { elsewhere($table, $key) }
}
print "changed ", summary($table), "\n";

sub elsewhere {
    my ($table, $key) = @_;
    my $entry = delete $table->{$key};
    $entry->{text} =~ s/(\w)(\w)/$2$1/g;
    $entry->{list} = [reverse @{$entry->{list}}, split //, $entry->{text}];
    $table->{reverse $key} = $entry;
}

my $text = join "\n", map { "$_ = $table->{$_}{text}" } sort keys %$table;
my %count;
$count{$1}++ while $text =~ /\b([a-z]{3})[a-z]*-(?=[0-9a-f]{7}\b)/g;
my @top = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9];
print "text ", length $text, ": ", join(' ', map { "$_ $count{$_}" } @top), "\n";
(my $squeezed = $text) =~ s/([a-z]+-[0-9a-f]+)\1*/<$1>/g;
print "squeezed ", length $squeezed, ' ', md5_hex($squeezed), "\n";
print "copied ", summary(thaw(freeze($table))), "\n";

# Children inherit the heap in the middle of its life, change their copies and answer through pipes.
my @children;
for my $number (1 .. 4) {
    pipe my $reader, my $writer or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        close $reader;
        delete @{$table}{grep { $table->{$_}{number} % 4 != $number - 1 } keys %$table};
        my $own = build(generator($number + 1), $keys / 10);
        @{$table}{keys %$own} = values %$own;
        print $writer "child $number ", summary($table), "\n";
        close $writer;
        exit 0;
    }
    close $writer;
    push @children, [$pid, $reader];
}
for my $child (@children) {
    my ($pid, $reader) = @$child;
    print while <$reader>;
    waitpid $pid, 0;
    print "status $?\n";
}
undef $table;
print "again ", summary(build($random, $keys / 2)), "\n";
