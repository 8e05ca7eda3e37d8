-- The measurements as they are, and the colour that only the file's name tells.
SELECT
  * EXCEPT (_file, _row, _ingested_at),
  _file LIKE '%-red.csv' AS is_red
FROM bronze.wine
