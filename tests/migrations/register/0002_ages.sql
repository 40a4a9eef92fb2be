CREATE INDEX ages ON people (age);
