-- First in each transaction of `migrate`, whatever the role's defaults say: who waited for the turn must see what the
-- one before has committed.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE
