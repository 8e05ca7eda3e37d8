-- The colour is in the name of the file.
SELECT *,
  quality >= ${good_form} AS good
FROM bronze.wine
