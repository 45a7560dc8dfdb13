"""How good translations are: scores that never travel without their signatures."""
