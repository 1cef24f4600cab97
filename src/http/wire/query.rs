//! Query strings.

use std::collections::BTreeMap;

use super::request::MAX_LIMIT;
use crate::http::problem::ApiError;

/// The parameters of a query string; each may be taken once, and none may be left.
#[derive(Debug)]
pub struct Query(BTreeMap<String, String>);

/// Where a top list is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Global,
    /// One market, by its code.
    Market(String),
}

impl Query {
    /// Splits a query string.
    ///
    /// # Errors
    /// If it is not URL-encoded, or a parameter comes twice.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|error| ApiError::field("query", error.to_string()))?
            .into_inner();
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            if let Some((name, _)) = parameters.insert(name.clone(), value).map(|old| (name, old)) {
                return Err(ApiError::field(name, "is given twice"));
            }
        }
        Ok(Self(parameters))
    }

    /// Takes `limit`.
    ///
    /// # Errors
    /// Unless it is a whole number in 1..=100.
    pub fn limit(&mut self, absent: u64) -> Result<usize, ApiError> {
        let Some(text) = self.0.remove("limit") else { return Ok(absent as usize) };
        match text.parse::<u64>() {
            Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit as usize),
            Ok(_) | Err(_) => {
                Err(ApiError::field("limit", format!("must be a whole number in 1..={MAX_LIMIT}, is {text}")))
            }
        }
    }

    /// Takes `scope`: `global` (also when absent) or `market:SE`.
    ///
    /// # Errors
    /// Unless it is one of these.
    pub fn scope(&mut self) -> Result<Scope, ApiError> {
        let Some(text) = self.0.remove("scope") else { return Ok(Scope::Global) };
        match text.strip_prefix("market:") {
            Some(code) if code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()) => {
                Ok(Scope::Market(code.to_owned()))
            }
            None if text == "global" => Ok(Scope::Global),
            Some(_) | None => {
                Err(ApiError::field("scope", format!("must be `global` or `market:` and a country code, is {text}")))
            }
        }
    }

    /// # Errors
    /// If a parameter has not been taken: it is unknown.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::field(name, "unknown parameter")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_knows_and_refuses_the_rest() {
        let mut query = Query::parse("limit=5&scope=market%3ASE").unwrap();
        assert_eq!((query.limit(20).unwrap(), query.scope().unwrap()), (5, Scope::Market("SE".into())));
        query.finish().unwrap();
        let mut empty = Query::parse("").unwrap();
        assert_eq!((empty.limit(20).unwrap(), empty.scope().unwrap()), (20, Scope::Global));
        for limit in ["0", "101", "1e9", "-1", "", "x"] {
            assert!(Query::parse(&format!("limit={limit}")).unwrap().limit(20).is_err(), "{limit}");
        }
        for scope in ["", "world", "market:", "market:se", "market:SWE"] {
            assert!(Query::parse(&format!("scope={scope}")).unwrap().scope().is_err(), "{scope}");
        }
        assert!(Query::parse("limit=1&limit=2").is_err());
        assert!(Query::parse("x=1").unwrap().finish().is_err());
    }
}
