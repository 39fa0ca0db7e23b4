// Dragging in the calendar does what the form of a task's page does: a task is
// let go over a day, and the day is sent. Without script, and by keyboard, that
// form is the way.
{
	let dragged = null;
	const day = (e) => e.target.closest?.(".cal td[data-day]");
	const clear = () => document.querySelectorAll(".cal td.drop").forEach((c) => c.classList.remove("drop"));
	document.addEventListener("dragstart", (e) => {
		const chip = e.target.closest?.(".chip[data-task]");
		if (!chip) return;
		dragged = chip;
		chip.classList.add("dragged");
		e.dataTransfer.effectAllowed = "move";
		e.dataTransfer.setData("text/plain", chip.textContent.trim());
	});
	document.addEventListener("dragend", () => {
		dragged?.classList.remove("dragged");
		dragged = null;
		clear();
	});
	document.addEventListener("dragover", (e) => {
		const cell = dragged && day(e);
		if (!cell) return;
		e.preventDefault();
		clear();
		cell.classList.add("drop");
	});
	document.addEventListener("drop", (e) => {
		const cell = dragged && day(e);
		if (!cell) return;
		e.preventDefault();
		clear();
		const form = document.getElementById("calmove");
		if (!form || cell.contains(dragged)) return;
		form.action = `/tasks/${dragged.dataset.task}/day`;
		form.elements.date.value = cell.dataset.day;
		form.elements.version.value = dragged.dataset.version;
		form.requestSubmit();
	});
}
