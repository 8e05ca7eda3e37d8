-- A file of its own.
SELECT alcohol
FROM silver.wine
WHERE alcohol > ${limit} AND Colur = 'red'
