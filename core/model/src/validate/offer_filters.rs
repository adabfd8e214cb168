//! Minimum amounts that a framework wants in offers.

use caprock_proto::mesos::v1::OfferFilters;

use super::{Validity, ensure};

/// Whether the filters of one role are valid.
pub fn offer_filters(filters: &OfferFilters) -> Validity {
    let Some(minimum) = &filters.min_allocatable_resources else {
        return Ok(());
    };
    for quantities in &minimum.quantities {
        ensure(
            !quantities.quantities.is_empty(),
            "Resource quantities must contain at least one quantity",
        )?;
        for (name, scalar) in &quantities.quantities {
            quantity(scalar.value)
                .map_err(|why| format!("Invalid resource quantity for '{name}': {why}"))?;
        }
    }
    Ok(())
}

fn quantity(value: f64) -> Validity {
    ensure(!value.is_nan(), "NaN values not supported")?;
    ensure(value.is_finite(), "Infinite values not supported")?;
    ensure(!value.is_subnormal(), "Subnormal values not supported")?;
    ensure(value >= 0.0, "Negative values not supported")
}

#[cfg(test)]
mod tests {
    use caprock_proto::mesos::v1::{offer_filters::*, value::Scalar};

    use super::*;

    fn filters(quantities: &[f64]) -> OfferFilters {
        let quantities = quantities
            .iter()
            .map(|&value| ("cpus".to_owned(), Scalar { value }))
            .collect();
        let quantities = vec![ResourceQuantities { quantities }];
        OfferFilters {
            min_allocatable_resources: Some(MinAllocatableResources { quantities }),
        }
    }

    #[test]
    fn quantities_are_ordinary_numbers() {
        assert_eq!(offer_filters(&OfferFilters::default()), Ok(()));
        assert_eq!(offer_filters(&filters(&[0.0])), Ok(()));
        assert_eq!(
            offer_filters(&filters(&[])),
            Err("Resource quantities must contain at least one quantity".into())
        );
        for value in [-1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE / 2.0] {
            let error = offer_filters(&filters(&[value])).unwrap_err();
            assert!(
                error.starts_with("Invalid resource quantity for 'cpus': "),
                "{error}"
            );
        }
    }
}
