# shellcheck shell=bash disable=SC2034
# sqlite3: a table with indexes filled, queried, updated, emptied by half and rebuilt.

needs=(sqlite3)
subjects=(sqlite3)

workload() {
    local rows=400000
    if [[ $quick == 1 ]]; then rows=10000; fi
    sqlite3 -batch -bail test.db <<SQL
PRAGMA journal_mode = WAL;
PRAGMA cache_size = -16000;
CREATE TABLE item (id INTEGER PRIMARY KEY, key INTEGER, name TEXT, data BLOB, price REAL);
CREATE INDEX item_key ON item (key);
CREATE UNIQUE INDEX item_name ON item (name, key);
CREATE TABLE log (item INTEGER, what TEXT);
CREATE TRIGGER item_gone AFTER DELETE ON item WHEN old.id % 64 = 0
    BEGIN INSERT INTO log VALUES (old.id, 'gone ' || old.name); END;

BEGIN;
INSERT INTO item
    WITH RECURSIVE step (id, x) AS (
        VALUES (1, 1)
        UNION ALL
        SELECT id + 1, (x * 48271) % 2147483647 FROM step WHERE id < $rows
    )
    SELECT id, x % 50021, printf('name-%08x-%s', x, hex(x * 31)), zeroblob(x % 97) || x, x / 7.0 FROM step;
COMMIT;
SELECT count(*), sum(key), sum(length(data)), min(name), max(name) FROM item;

-- Large sorts, groups and strings.
SELECT key % 11 AS part, count(*), count(DISTINCT key), round(avg(price), 3), length(group_concat(name))
    FROM item GROUP BY part ORDER BY part;
SELECT count(*) FROM item AS a JOIN item AS b ON a.key = b.key AND a.id < b.id WHERE a.id % 5 = 0;
SELECT id, name, row_number() OVER (PARTITION BY key % 3 ORDER BY price DESC) AS place
    FROM item WHERE id % 7 = 0 ORDER BY place, id LIMIT 20;
SELECT sum(length(json_object('id', id, 'name', name, 'price', price))) FROM item;

BEGIN;
UPDATE item SET name = name || '-changed', key = key + 1 WHERE id % 3 = 0;
DELETE FROM item WHERE key % 2 = 0;
COMMIT;
SELECT count(*), sum(key) FROM item;
SELECT count(*), max(what) FROM log;
VACUUM;
REINDEX;
ANALYZE;
PRAGMA integrity_check;
SQL
    sqlite3 -batch test.db .dump | sha256sum
}
