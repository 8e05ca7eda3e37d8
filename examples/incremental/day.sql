-- The events of one day of a small software service: always the same for the same day.
-- Every 20th happened the day before and arrives late, every 25th arrives twice, and the
-- file is in no order. 1772236800 is 2026-02-28 00:00:00 UTC.
WITH day AS (SELECT 1 AS n),
events AS (
  SELECT i, n, (i * 7919 + n * 104729) * 2654435761 % 4294967296 / 16 AS dice
  FROM day CROSS JOIN (SELECT value AS i FROM generate_series(1, 200)) AS places
),
told AS (
  SELECT 'e' || n || '-' || i AS event_id,
         n - CASE WHEN i % 20 = 0 THEN 1 ELSE 0 END AS day,
         dice / 400 % 86400 AS second,
         100 + dice % 40 AS account_id,
         CASE WHEN dice / 40 % 10 = 0 THEN 'close'
              WHEN dice / 40 % 10 < 4 THEN 'change'
              ELSE 'use' END AS kind,
         dice / 7000 % 3 AS plan,
         1 + dice / 900 % 20 AS amount,
         dice, i
  FROM events
)
SELECT event_id,
       to_timestamp_seconds(1772236800 + day * 86400 + second) AS happened_at,
       account_id, kind,
       CASE WHEN kind <> 'change' THEN NULL
            WHEN plan = 0 THEN 'free' WHEN plan = 1 THEN 'team' ELSE 'business' END AS plan,
       CASE WHEN kind <> 'close' THEN amount END AS amount
FROM told CROSS JOIN (SELECT value AS copy FROM generate_series(1, 2)) AS copies
WHERE copy = 1 OR i % 25 = 0
ORDER BY dice, copy
