<?php
// What extensions of PHP do with memory, for a number of rows; the output is the same in each run.
$rows = (int)$argv[1];

function number(int $i): int
{
    return $i * 48271 % 2147483647;
}

function documents(int $rows): void
{
    $document = new DOMDocument;
    $list = $document->appendChild($document->createElement('list'));
    for ($i = 0; $i < $rows; $i++) {
        $item = $list->appendChild($document->createElement('item', "text $i"));
        $item->setAttribute('key', (string)(number($i) % 97));
    }
    $text = $document->saveXML();
    $again = simplexml_load_string($text);
    $path = new DOMXPath($document);
    echo strlen($text), ' ', count($again->item), ' ', $path->query('//item[@key="7"]')->length, "\n";
    $reader = new XMLReader;
    $reader->XML($text);
    for ($depth = 0; $reader->read();) {
        $depth += $reader->depth;
    }
    echo $depth, "\n";
    foreach ($path->query('//item[@key < 50]') as $item) {
        $item->parentNode->removeChild($item);
    }
    echo md5($document->saveXML()), "\n";
    libxml_use_internal_errors(true);
    $document->loadXML('<list><item></list>');
    echo count(libxml_get_errors()), " errors\n";
}

function tables(int $rows): void
{
    $database = new PDO('sqlite::memory:');
    $database->sqliteCreateFunction('turned', fn ($text) => strrev($text));
    $database->exec('CREATE TABLE item (id INTEGER PRIMARY KEY, key INTEGER, name TEXT)');
    $insert = $database->prepare('INSERT INTO item VALUES (?, ?, ?)');
    $database->beginTransaction();
    for ($i = 0; $i < $rows; $i++) {
        $insert->execute([$i, number($i) % 101, str_repeat(chr(97 + $i % 26), $i % 300)]);
    }
    $database->commit();
    foreach ($database->query('SELECT key, count(*), max(turned(name)) FROM item GROUP BY key ORDER BY key LIMIT 5') as $row) {
        echo $row[0], ' ', $row[1], ' ', strlen($row[2]), "\n";
    }
}

function texts(int $rows): void
{
    $words = [];
    for ($i = 0; $i < $rows; $i++) {
        $words[] = mb_convert_case(mb_substr('äöü ßéñ żółw', $i % 7, 5), MB_CASE_UPPER) . number($i) % 1009;
    }
    (new Collator('de_DE'))->sort($words);
    echo md5(implode("\n", $words)), ' ', count(array_unique($words)), "\n";
    echo mb_strlen(mb_convert_encoding(implode(' ', $words), 'UTF-16', 'UTF-8'), 'UTF-16'), "\n";
    echo strlen(Normalizer::normalize(implode($words), Normalizer::FORM_D)), "\n";
    echo preg_match_all('/(?<letters>\p{Lu}+)(\d+)/u', implode(' ', $words), $found), ' ', md5(serialize($found)), "\n";
    echo strlen(iconv('UTF-8', 'ISO-8859-1//TRANSLIT', 'Größe')), "\n";
}

function data(int $rows): void
{
    $tree = [];
    for ($i = 0; $i < $rows; $i++) {
        $tree["key $i"] = ['number' => number($i), 'list' => range(0, $i % 20), 'object' => new ArrayObject([$i])];
    }
    $text = serialize($tree);
    echo md5($text), ' ', serialize(unserialize($text)) === $text ? 'equal' : 'different', "\n";
    echo md5(json_encode(json_decode(json_encode($tree), true))), "\n";
    echo md5(gzuncompress(gzcompress($text, 6))), ' ', md5(gzinflate(gzdeflate($text, 1))), "\n";
    uasort($tree, fn ($a, $b) => $a['number'] <=> $b['number']);
    echo array_key_first($tree), "\n";
}

function children(int $rows): void
{
    for ($child = 0; $child < 4; $child++) {
        $id = pcntl_fork();
        if ($id === 0) {
            documents(intdiv($rows, 10));
            exit(0);
        }
        pcntl_waitpid($id, $status);
        echo "status $status\n";
    }
}

documents($rows);
tables($rows);
texts($rows);
data($rows);
children($rows);
