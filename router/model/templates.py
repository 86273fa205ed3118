"""Instructions as people write them, around a text `{}`. Our own wording.

`UNSEEN` templates are never trained on: they say how the classifier does on wording that it has not met.
"""

from __future__ import annotations

import random

LANGUAGE = [
    "what language is this: {}", "What language is this?\n{}", "which language is this text in? {}",
    "Which language is the following written in?\n{}", "detect the language of: {}", "Detect language\n{}",
    "detect the language\n{}", "identify the language: {}", "Identify the language of this sentence.\n{}",
    "language of this text?\n{}", "language: {}", "lang id: {}", "name the language of \"{}\"",
    "tell me the language of this: {}", "tell me which language this is\n{}", "can you tell which language this is? {}",
    "Is this Spanish or Portuguese? {}", "Is this written in German or in Dutch?\n{}", "is that french? {}",
    "I got this message and do not know the language it is in: {}", "{}\nWhat language is that?",
    "{} - which language is it?", "In which language did the customer write? {}",
    "Give the ISO 639-1 code of the language:\n{}", "Give me the language code for: {}",
    "What tongue is this? {}", "Find out what language this text is.\n{}", "Recognise the language.\n{}",
    "Recognize the language used in {}", "Determine the language of the text below.\n{}",
    "language detection: {}", "language identification\n{}", "Guess the language: {}",
    "Please identify which language the user is speaking.\n{}", "does anyone know what language this is: {}",
    "what language did they write this in\n{}", "classify by language: {}", "Route by language:\n{}",
    "Name that language!\n{}", "Label the following text with its language.\n{}", "which of 75 languages is it: {}",
]
SENTIMENT = [
    "is this review positive: {}", "Is this review positive or negative?\n{}", "is this negative? {}",
    "positive or negative: {}", "Positive or negative?\n{}", "sentiment: {}", "Sentiment of this text?\n{}",
    "What is the sentiment of the following review?\n{}", "classify the sentiment of: {}", "Classify the sentiment.\n{}",
    "detect the sentiment\n{}", "Do a sentiment analysis of {}", "sentiment analysis: {}", "Analyse the sentiment:\n{}",
    "Analyze sentiment\n{}", "How does the customer feel? {}", "How does the writer feel about it?\n{}",
    "Did the customer like it? {}", "Did they like the film?\n{}", "does the reviewer recommend it: {}",
    "Is the writer happy or unhappy? {}", "is the customer satisfied\n{}", "Is this a good or a bad review? {}",
    "Is this feedback favourable?\n{}", "{}\nIs that positive?", "{}\nPositive or negative?",
    "{} - did they like it?", "What is the tone of this comment, good or bad? {}", "Rate as positive or negative:\n{}",
    "Label this review as negative or positive.\n{}", "tell me if this is a complaint or praise: {}",
    "tell me whether the following opinion is positive: {}", "Determine the polarity of the sentence.\n{}",
    "Was the reviewer pleased? {}", "did the author enjoy the book?\n{}", "good or bad: {}", "{}\n\nWas the customer happy?",
    "Judge the opinion below: favourable or unfavourable?\n{}", "feedback good or bad? {}", "pleased or annoyed? {}",
    "Does the author speak well of it?\n{}", "the sentiment, please: {}", "Say if this comment is positive.\n{}",
    "polarity: {}", "would this person buy it again? {}", "what does the reviewer think\n{}", "mood of this message: {}",
    "Does this review sound positive to you?\n{}", "thumbs up or thumbs down? {}", "Find out if the user is angry: {}",
]
INTENT = [
    "which intent is this: {}", "What is the intent of this request?\n{}", "intent: {}", "Intent of the user?\n{}",
    "detect the intent of: {}", "Detect intent\n{}", "classify the intent\n{}", "Classify this request: {}",
    "classify the user's request\n{}", "What does the user want? {}", "What does this user want to do?\n{}",
    "what is the customer asking for: {}", "what is the user trying to do\n{}", "Name the intent:\n{}",
    "tell me the intent of: {}", "tell me what this person wants: {}", "Identify the intent of this utterance.\n{}",
    "identify the user intent: {}", "Which action does the user ask for?\n{}", "which command is this? {}",
    "Which skill should handle this? {}", "map this utterance to an intent: {}", "Route this request: {}",
    "intent classification: {}", "intent detection\n{}", "find the intent\n{}", "{}\nWhat is the intent?",
    "{} - what do they want?", "Label the request with its intent.\n{}", "Determine what the caller wants.\n{}",
    "Recognise the user's intention: {}", "what should the assistant do for this: {}", "purpose of this request? {}",
    "Which of the assistant's functions is meant?\n{}", "What task is the user asking for? {}",
]
# None of our experts does these, whatever the text is.
OTHER = [
    "summarize: {}", "Summarise the following text in one sentence.\n{}", "tl;dr {}", "translate to french: {}",
    "Translate this into English.\n{}", "translate the following to german\n{}", "rewrite this politely: {}",
    "Paraphrase: {}", "Paraphrase this review.\n{}", "fix the grammar: {}", "Correct the spelling of this text\n{}",
    "write a reply to this message: {}", "Write a poem about this: {}", "write an email based on this\n{}",
    "Extract all names from the text.\n{}", "list the products mentioned in: {}", "find the dates in this text: {}",
    "What is the topic of this text? {}", "which category does this article belong to\n{}", "Give this text a title:\n{}",
    "Make this shorter: {}", "Make it sound more formal.\n{}", "explain this to a child: {}",
    "continue the story: {}", "Answer the question based on the text.\n{}", "Is the following statement true? {}",
    "count the words in: {}", "Convert to upper case: {}", "turn this into bullet points\n{}",
    "write a python function that {}", "Who wrote this? {}", "is this spam? {}", "Does this text contain hate speech? {}",
    "put this in Spanish: {}", "Shorten the text below.\n{}", "Draft a response:\n{}", "Which persons are mentioned? {}",
    "reformulate: {}", "Think of a headline for this: {}", "What is it about? {}", "Which subject does the text treat?\n{}",
    "Improve this text.\n{}", "Polish the wording of\n{}", "What theme does this text have? {}", "how old is the author? {}",
    "What does this mean? {}", "Proofread the following.\n{}", "What happens next?\n{}", "find the keywords: {}",
    "read this aloud: {}", "How many sentences are there in: {}", "Write a headline for:\n{}",
    "generate a question about this text: {}", "which movie is this about? {}", "What product is reviewed here?\n{}",
    "Replace all adjectives in this sentence: {}", "Is this text written by a human? {}", "spell check\n{}",
]
UNSEEN = {
    "language": [
        "A colleague forwarded this. Do you recognise the language? {}", "What's the language here? {}",
        "Figure out which language we are dealing with:\n{}", "is it Finnish, Estonian or Hungarian\n{}",
        "Return the two-letter language code.\n{}", "from which language are these words? {}",
        "{}\n\nI wonder what language this is.", "language check: {}", "Spot the language -> {}",
        "We need the language of the ticket below.\n{}",
    ],
    "sentiment": [
        "Was this a happy buyer? {}", "Score the sentiment as positive or negative.\n{}",
        "Is the feeling in this review good or bad?\n{}", "Praise or criticism? {}", "{}\n\nIs this opinion negative?",
        "how positive is this\n{}", "Check the sentiment of this feedback: {}", "Do you think they were satisfied? {}",
        "Tell happy from unhappy customers:\n{}", "sentiment check -> {}",
    ],
    "intent": [
        "What would this user like to do? {}", "Under which intent would you file this?\n{}",
        "intent check: {}", "Tell me what the caller is asking for:\n{}", "{}\n\nWhat is the user's intention?",
        "which intent does this utterance have -> {}", "Decide which request type this is.\n{}",
        "What are they trying to get done? {}", "Read the message and give its intent.\n{}", "Map to an intent:\n{}",
    ],
    "none": [
        "Boil this down to its essence:\n{}", "How would you say this in Japanese? {}", "Compose a tweet about this: {}",
        "List every place that is mentioned.\n{}", "Make this easier to read: {}", "Is there any personal data in here? {}",
        "{}\n\nWhat could happen after that?", "Turn this into a question: {}", "Check the facts in this passage.\n{}",
        "Rhyme on this: {}",
    ],
}

# Parts from which requests for two or three experts are put together: as a noun, and as a question.
NOUNS = {
    "language": ["the language", "its language", "which language it is in", "the language it is written in",
                 "the language code", "what language it is"],
    "sentiment": ["the sentiment", "its sentiment", "whether it is positive", "whether it is positive or negative",
                  "if the writer is happy", "the polarity", "whether they liked it"],
    "intent": ["the intent", "its intent", "what the user wants", "the user's intent", "what is asked for",
               "the intent of the request"],
}
QUESTIONS = {
    "language": ["what language is it in", "what language is this", "which language is this in",
                 "which language is the review in", "in what language is it written"],
    "sentiment": ["is it positive", "is it positive or negative", "what is its sentiment", "is the review good or bad",
                  "did they like it", "is the customer happy"],
    "intent": ["what is the intent", "what does the user want", "which intent is it", "what is being asked for"],
}
OPENINGS = ["detect {} of: {{}}", "Detect {} of this text.\n{{}}", "tell me {}: {{}}", "Tell me {}.\n{{}}",
            "find {} of {{}}", "Give me {} of the following:\n{{}}", "give {}\n{{}}", "Identify {}:\n{{}}",
            "I need {} for this: {{}}", "classify {}: {{}}", "{}: {{}}", "{}?\n{{}}", "Report {}.\n{{}}",
            "{{}}\nTell me {}.", "please find out {}\n{{}}", "For the text below, return {}.\n{{}}"]
# For one thing alone, and for things that no expert does.
OTHER_NOUNS = ["a summary", "a translation", "a better wording", "the topic", "the main points", "a title", "the author",
               "the names in it", "a reply", "the dates", "an explanation", "a shorter version", "the subject", "keywords",
               "a correct spelling", "a French version", "the meaning", "the product's name", "the genre", "the answer"]
PREFIXES = ["please ", "Please ", "can you ", "could you ", "Hey, ", "I want you to ", "Now ", "kindly ", "ok ", "Hi! "]
UNSEEN_OPENINGS = ["We would like to know {}:\n{{}}", "could I have {} please? {{}}", "Establish {} for this message: {{}}",
                   "{{}}\n\nOutput {}.", "Read this and answer with {}.\n{{}}"]


def joined(parts: list[str], rng: random.Random) -> str:
    last = rng.choice([" and ", " and ", ", and ", " as well as ", " & ", ", "])
    return ", ".join(parts[:-1]) + last + parts[-1]


def several(experts: list[str], rng: random.Random, openings: list[str] = OPENINGS) -> str:
    """A template that asks for all of `experts`."""
    experts = rng.sample(experts, len(experts))
    if rng.random() < 0.35:
        question = joined([rng.choice(QUESTIONS[expert]) for expert in experts], rng)
        question = question[0].upper() + question[1:] if rng.random() < 0.6 else question
        return question + rng.choice(["?\n{}", "? {}", ": {}", "?\n\n{}"])
    nouns = joined([rng.choice(NOUNS[expert]) for expert in experts], rng)
    text = rng.choice(openings).format(nouns)
    return text[0].upper() + text[1:] if rng.random() < 0.3 else text


def one(expert: str, templates: list[str], rng: random.Random) -> str:
    """A template that asks for one thing: a written one, or one put together."""
    if rng.random() < 0.6:
        template = rng.choice(templates)
    elif expert in QUESTIONS and rng.random() < 0.3:
        question = rng.choice(QUESTIONS[expert])
        template = rng.choice([f"{question}? {{}}", f"{question[0].upper()}{question[1:]}?\n{{}}", f"{{}}\n{question}?"])
    else:
        template = rng.choice(OPENINGS).format(rng.choice(NOUNS.get(expert, OTHER_NOUNS)))
    return rng.choice(PREFIXES) + template if rng.random() < 0.12 else template


# What people put before or after a request when they are cross or glad.
REMARKS = [
    "this is the worst service ever", "i am so angry with you", "your app is terrible and slow", "i love this app",
    "you people are useless", "the new update is awful", "your support was fantastic last time", "great service so far",
    "this is really disappointing", "i hate waiting this long", "your bank is the best", "thank you, you were wonderful",
    "the card you sent me is rubbish", "i am very unhappy with the fees", "the website is a joke",
    "this assistant is amazing", "what a horrible experience", "worst bank i ever had", "i am really impressed",
    "the hotel was filthy and loud", "the flight was a nightmare", "the staff were lovely", "it never works",
    "everything was perfect", "the food was disgusting", "such a waste of money", "this keeps failing and i am fed up",
    "i am delighted with the card", "absolutely brilliant app", "customer service was rude to me",
]
