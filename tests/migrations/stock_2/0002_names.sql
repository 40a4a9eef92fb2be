ALTER TABLE articles ADD COLUMN name TEXT;
UPDATE articles SET name = 'article ' || id;
