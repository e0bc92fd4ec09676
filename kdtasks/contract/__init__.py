"""What a task promises: parameters, data, teachers and students; how tasks are found."""
