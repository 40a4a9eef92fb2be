-- Whom an account has to do with, and for how much.
CREATE INDEX entries_by_other ON entries (other, cents);
