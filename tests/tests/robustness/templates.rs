//! Templates with mistakes are refused before any host is contacted.
