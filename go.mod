module github.com/kappaflows/flows

go 1.26.0
