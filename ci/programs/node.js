// node node.js WORKERS ROUNDS: each worker sends messages round a ring of workers, so that nearly every block is
// allocated by one thread and freed by another. Prints one line per worker and one checksum of everything.
'use strict';
const { Worker, MessageChannel, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto');
const zlib = require('zlib');

// Park and Miller's generator: the same numbers everywhere.
function generator(seed) {
    let x = seed;
    return (limit) => {
        x = (x * 48271) % 2147483647;
        return x % limit;
    };
}

const digest = (...parts) => {
    const hash = crypto.createHash('sha256');
    for (const part of parts) hash.update(part);
    return hash.digest('hex');
};

// One message: transferred buffers, copied objects, strings, compressed data.
function compose(random, round) {
    const buffers = [];
    for (let i = 0; i < 60; i++) {
        const buffer = new Uint8Array(1 + random(i % 10 === 0 ? 300000 : 3000));
        for (let at = 0; at < buffer.length; at += 1 + random(64)) buffer[at] = random(256);
        buffers.push(buffer);
    }
    const words = Array.from({ length: 2000 }, () => 'word-' + random(100000).toString(36));
    const index = new Map();
    for (const word of words) index.set(word, (index.get(word) || 0) + 1);
    const text = JSON.stringify({ round, words, nested: words.map((word, i) => ({ word, i, list: [i, word.length] })) });
    return { round, buffers, index, text, packed: zlib.deflateSync(text, { level: 1 + random(9) }) };
}

// Reads all of a message and answers with the digest of its contents.
function examine(message) {
    const text = zlib.inflateSync(message.packed).toString();
    if (text !== message.text) throw new Error('inflated text differs');
    const zeroes = message.buffers.reduce((sum, buffer) => sum + buffer.filter((byte) => byte === 0).length, 0);
    const words = [...message.index].sort().map(([word, count]) => `${word}:${count}`).join();
    const again = Buffer.from(Buffer.from(text, 'latin1').toString('base64'), 'base64');
    return digest(...message.buffers, String(zeroes), words, again);
}

function main(workers, rounds) {
    const channels = Array.from({ length: workers }, () => new MessageChannel());
    const results = [];
    let running = workers;
    for (let number = 0; number < workers; number++) {
        const receive = channels[number].port1;
        const send = channels[(number + 1) % workers].port2;
        const worker = new Worker(__filename, {
            workerData: { number, rounds, receive, send },
            transferList: [receive, send],
        });
        worker.on('error', (error) => {
            throw error;
        });
        worker.on('message', (result) => {
            results[number] = result;
        });
        worker.on('exit', () => {
            if (--running > 0) return;
            results.forEach((line) => console.log(line));
            console.log('all', digest(...results));
        });
    }
}

function work({ number, rounds, receive, send }) {
    const random = generator(number * 7919 + 1);
    const hash = crypto.createHash('sha256');
    let sent = 0;
    const next = () => {
        const message = compose(random, sent++);
        send.postMessage(message, message.buffers.map((buffer) => buffer.buffer));
    };
    let received = 0;
    receive.on('message', (message) => {
        hash.update(examine(message));
        if (++received < rounds) return;
        parentPort.postMessage(`worker ${number}: ${received} messages, ${hash.digest('hex')}`);
        receive.close();
    });
    // Everybody sends without waiting for answers, a turn of the event loop apart.
    const turn = () => {
        next();
        if (sent < rounds) setImmediate(turn);
    };
    turn();
}

if (isMainThread) main(Number(process.argv[2]), Number(process.argv[3]));
else work(workerData);
