-- Orders that were not cancelled, and what each is worth.
SELECT id, customer, ordered_on, quantity * price AS value
FROM bronze.orders
WHERE status <> 'cancelled'
