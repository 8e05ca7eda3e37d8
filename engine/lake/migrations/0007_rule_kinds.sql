-- What kind of rule an expectation is: `row` for a condition on single rows, else the word of
-- the language for a rule on the whole table; and what was found of one that was broken.

ALTER TABLE expectations ADD COLUMN kind TEXT NOT NULL DEFAULT 'row';
ALTER TABLE expectations ADD COLUMN found TEXT;
UPDATE expectations SET kind = 'unique' WHERE rule LIKE 'unique: [%';
