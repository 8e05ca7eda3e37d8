SELECT w.x
FROM Silver.Wine AS w
JOIN silver.whine AS v ON v.x = w.x
