SELECT x
FORM silver.wine
