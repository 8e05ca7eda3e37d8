-- Both sources as one table: straight quotes, single blanks, each text once. Texts that were
-- rated twice get the mean of their ratings.
WITH cleaned AS (
  SELECT
    source,
    id,
    rating,
    trim(regexp_replace(replace(text, '''''', '"'), '\s+', ' ', 'g')) AS text
  FROM (
    SELECT 'movie' AS source, id, rating, text FROM bronze.movie_reviews
    UNION ALL
    SELECT 'amazon' AS source, id, rating, text FROM bronze.amazon_reviews
  )
)
SELECT source, min(id) AS id, text, avg(rating) AS rating
FROM cleaned
GROUP BY source, text
