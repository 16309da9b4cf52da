//! Portolan's custom resources: types, condition reasons, label keys
