"""What a person sees and touches. Reads run folders, sends commands, never imports the engine."""
