//! The program as people and scripts meet it: its texts, exit codes, files and processes.

mod client;
mod down;
mod help;
mod local_run;
mod program;
mod standalone;
mod units;
mod usage;
mod validate;
