//! The machine against tables of behaviour, and against a plain model of OTP.

mod edges;
mod model;
mod otp;
mod random;
mod stage;
