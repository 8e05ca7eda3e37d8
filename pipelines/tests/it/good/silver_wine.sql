-- The colour is in the name of the file.
SELECT * EXCEPT (_file, _row, _ingested_at),
  _file LIKE '%-red.csv' AS is_red
FROM bronze.wine
