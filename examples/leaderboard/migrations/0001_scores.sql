-- The best score of each player.
CREATE TABLE scores (
    number INTEGER PRIMARY KEY,
    player TEXT NOT NULL UNIQUE,
    points INTEGER NOT NULL
) STRICT;

CREATE INDEX scores_by_points ON scores (points DESC, player);
