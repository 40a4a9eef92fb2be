-- Everything that was booked, in the order of the commits that booked it. The sum of `cents` is the balance.
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('paid in', 'sent', 'received', 'interest')),
    -- The other account; empty for what was paid in.
    other TEXT NOT NULL,
    -- The number that the account that has sent it has given it; of what was paid in, one of its own.
    payment INTEGER NOT NULL,
    cents INTEGER NOT NULL
) STRICT;
