-- Who is known, and how old they are said to be.
CREATE TABLE people (name TEXT PRIMARY KEY, age INTEGER NOT NULL) STRICT;
CREATE TABLE visits (id INTEGER PRIMARY KEY, name TEXT NOT NULL REFERENCES people (name) DEFERRABLE INITIALLY DEFERRED);
