mod brute;
mod random;
mod speed;
mod stories;
mod toys;
