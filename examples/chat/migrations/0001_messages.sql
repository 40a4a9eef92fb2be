-- What was said, by its number in the room. A member's own id makes a message that is sent again the same one.
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    text TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    UNIQUE (name, id)
) STRICT;
