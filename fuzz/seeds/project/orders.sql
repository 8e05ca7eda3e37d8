SELECT id, amount, customer FROM bronze.orders WHERE amount > 0
