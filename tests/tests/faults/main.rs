//! Faults, one a test: what breaks is done on purpose at a known moment, and a checker that shares no code with the
//! program reads afterwards what happened.

mod network;
