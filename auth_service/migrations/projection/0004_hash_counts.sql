-- How many stored hashes were sealed with which key, so that nobody has to read them all to learn
-- whether a key is missing. `sealed_with` is the form and the key: what precedes the last dot.
CREATE TABLE hash_counts (
    sealed_with TEXT PRIMARY KEY,
    count       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO hash_counts
    SELECT substr(sealed_hash, 1, 2 + instr(substr(sealed_hash, 4), '.')), count(*)
    FROM credentials WHERE sealed_hash IS NOT NULL GROUP BY 1;
