package main

import (
	"strconv"
	"strings"
)

var suffixes = map[string]float64{
	"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
}

// bytesOf reads a Kubernetes quantity such as 10Gi, 1.5G or 1e9; exact enough
// to tell which of two sizes is larger.
func bytesOf(quantity string) (float64, bool) {
	if value, err := strconv.ParseFloat(quantity, 64); err == nil {
		return value, true
	}
	number := strings.TrimRight(quantity, "mkMGTPEi")
	factor, known := suffixes[quantity[len(number):]]
	value, err := strconv.ParseFloat(number, 64)
	return value * factor, known && err == nil
}

func isLarger(wanted, present string) bool {
	w, okWanted := bytesOf(wanted)
	p, okPresent := bytesOf(present)
	return okWanted && okPresent && w > p
}
