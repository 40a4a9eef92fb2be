//! `mutations SECONDS [TARGET] [SEED]` mutates the stored corpus of one target, or of each, for so long; it needs no fuzzer.
//!
