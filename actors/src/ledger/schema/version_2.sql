-- Answers that an upstream keeps under an id of its own (OpenAI's responses), so that only the client that asked
-- finds one again, and at the key that has it.
CREATE TABLE answers (
    id       TEXT    NOT NULL PRIMARY KEY,  -- the upstream's id
    client   TEXT    NOT NULL,
    provider TEXT    NOT NULL,
    key      TEXT    NOT NULL,              -- the key's name in the configuration, not the key
    made_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_by_age ON answers (made_ms);
