package customerui

import "bihuan/internal/web/ui"

// The colours of grades and stages.
var _ = []struct{}{ui.SetTone("a", "red"), ui.SetTone("b", "blue"), ui.SetTone("c", "gray"),
	ui.SetTone("potential", "cyan"), ui.SetTone("interested", "blue"), ui.SetTone("dormant", "amber"), ui.SetTone("lost", "gray")}
