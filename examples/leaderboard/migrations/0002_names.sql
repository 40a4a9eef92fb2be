-- Full-text search over the players' names. It holds no text of its own: it points into `scores`.
CREATE VIRTUAL TABLE names USING fts5 (player, content = 'scores', content_rowid = 'number');

-- Players that boards had before they had this table.
INSERT INTO names (rowid, player) SELECT number, player FROM scores;

CREATE TRIGGER scores_named AFTER INSERT ON scores BEGIN
    INSERT INTO names (rowid, player) VALUES (new.number, new.player);
END;
