//! The only SQL of this service, behind functions that a second engine could offer.

pub mod projection;
pub mod staging;
pub mod tokens;
