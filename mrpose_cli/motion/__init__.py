"""Movement: joints of people over time, cleaned, as angles and speeds. Arrays in, arrays out."""
