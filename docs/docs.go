// Package docs holds what the program shows of its own documentation.
package docs

import _ "embed"

// Manual is the user's manual in Chinese, as Markdown.
//
//go:embed manual.zh-CN.md
var Manual []byte
