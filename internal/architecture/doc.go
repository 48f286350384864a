// Package architecture holds nothing but tests: of who may import whom, and of how long files and functions are.
package architecture
