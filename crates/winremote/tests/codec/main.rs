//! Texts of CIM and WQL: what they look like, and that they come back as they went.

mod datetimes;
mod embedded;
mod errors;
mod instances;
mod object_paths;
mod random;
mod wql;
