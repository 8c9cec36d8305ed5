//! Any bytes as a body of the API: it is read, or every wrong field is named.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| gridflow_web::fuzz::body(bytes));
