//! For authors of prorch repositories.
