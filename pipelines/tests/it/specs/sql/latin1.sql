-- one
SELECT 'café'
