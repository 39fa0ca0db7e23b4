// Command bihuan is 闭环客服: customer service that closes the loop, in one
// program. See bihuan --help.
package main

import (
	"os"

	"bihuan/internal/app"
)

func main() { os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr)) }
