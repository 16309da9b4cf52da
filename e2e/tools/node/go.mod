module portolan.dev/e2e/tools/node

go 1.26.0
